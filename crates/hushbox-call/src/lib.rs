//! One call to a voicemail server: its dialogue with a person, joined to signalling and media
