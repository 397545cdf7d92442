"""The commands, a file each; `osteoform.cli` joins them."""
