import sys
from pathlib import Path

# so that test files here can import layer_cases.py
sys.path.insert(0, str(Path(__file__).parent))
