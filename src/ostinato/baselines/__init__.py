"""The memoryless and the probabilistic models that a recurrent one is compared with."""
