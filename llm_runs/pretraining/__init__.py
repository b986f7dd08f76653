"""How the shipped base models were made: their text, their recipes, what they can do."""
