"""Who is told what beside the log, and when again: words, alarms, couriers, and the desk that joins them."""
