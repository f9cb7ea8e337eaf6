"""What prices mean between two reads of the loans: who reaches a trigger, and who is near one. Pure."""
