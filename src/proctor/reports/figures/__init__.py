"""Pictures for papers and notebooks, of the numbers of the tables. `kinds.py` names them; matplotlib is imported only when one is made."""
