"""What people and programs read: schemas of the JSON files, words, figures, the page."""
