//! What is queued to be played.
