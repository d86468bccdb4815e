"""Where pages live: the contract, the disk, finding and sweeping."""
