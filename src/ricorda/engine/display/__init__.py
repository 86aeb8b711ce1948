"""How models and their results look in a notebook: cards, coloured texts, heat maps."""
