"""Running the inference form of any network: where, in what memory, in what order, with what progress."""
