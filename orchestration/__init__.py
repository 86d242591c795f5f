"""accountpulse: raw product events in, activation and engagement marts, trends and flags out."""
