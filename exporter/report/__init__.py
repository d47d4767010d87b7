"""The shape of an answer (`Report`) and the formats that it is printed in."""
