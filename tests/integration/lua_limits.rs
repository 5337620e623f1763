//! What a script may use: memory, time, and nothing outside.
