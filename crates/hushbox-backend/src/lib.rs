//! What store and audit of a voicemail server ask for, for real: SQLite, folders, files, key providers
