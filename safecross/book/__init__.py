"""The book: how it is built, its chapters, figures and findings."""
