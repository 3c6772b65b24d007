//! The Hushbox voicemail server: sockets, clocks, tasks, configuration and command line
