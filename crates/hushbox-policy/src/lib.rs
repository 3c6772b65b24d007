//! Who may do what in a voicemail server: decisions over facts, without memory
