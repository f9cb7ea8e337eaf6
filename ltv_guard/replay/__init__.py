"""What a policy would have done with loans and a wallet, over candles: the core decides, as it is."""
