"""The flights year: the whole wheel on the 336,776 flights that left New York in 2013."""
