"""ltv-guard: keeps crypto-backed loans on Bybit out of liquidation."""
