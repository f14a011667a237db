"""What the packages of the store share: tasks, buffers, rates, bounded logging, the seam to the disk."""
