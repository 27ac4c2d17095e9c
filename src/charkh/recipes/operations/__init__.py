"""What a step can do, one file a family; `all.py` lists them."""
