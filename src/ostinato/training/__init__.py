"""What makes recurrent networks trainable."""
