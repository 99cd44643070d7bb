"""What every part shares: columns, errors, options, byte sources, the file system as a value."""
