"""Which recent samples are worth a label: from what is kept of the stream to what annotators are asked, and why each."""
