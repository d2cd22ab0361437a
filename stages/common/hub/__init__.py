"""Models on a Hugging Face hub: fetched into the model store, published from it."""
