"""What runs in progress keep, every `checkpoint_every` rounds, so that they can go on."""
