//! Every limit of this crate, named.

use std::time::Duration;

/// Samples in a second: every codec here runs at 8 kHz (RFC 3551 §4.5.14).
pub const SAMPLE_RATE: u32 = 8000;
/// What one of our packets holds.
pub const PACKET_TIME: Duration = Duration::from_millis(20);
/// Samples in one of our packets.
pub const PACKET_SAMPLES: usize = 160;

/// The longest RTP or RTCP packet that is looked at; longer ones are dropped.
pub const PACKET_BYTES: usize = 2048;
/// The longest audio payload that is recorded: 200 ms of G.711.
pub const PAYLOAD_BYTES: usize = 1600;

/// The longest session description.
pub const SDP_BYTES: usize = 16 * 1024;
/// The most m-lines in one description.
pub const SDP_MEDIA: usize = 16;
/// The most formats on one m-line.
pub const SDP_FORMATS: usize = 64;
/// The most attributes at session level or of one m-line.
pub const SDP_ATTRIBUTES: usize = 256;

/// Streams (SSRCs) remembered under one SRTP key. All of them authenticated.
pub const SRTP_STREAMS: usize = 64;
/// The highest lifetime a key may name (RFC 3711 §9.2).
pub const SRTP_LIFETIME_MAX: u64 = 1 << 48;
/// The most packets an SRTCP key may protect (RFC 3711 §9.2).
pub const SRTCP_INDEX_MAX: u32 = 0x7fff_ffff;
/// The longest MKI (RFC 4568 §6.1).
pub const MKI_BYTES_MAX: usize = 128;

/// The longest recording, whatever is asked for: places in it are counted in 32 bits.
pub const RECORDING_MAX: Duration = Duration::from_secs(24 * 3600);
/// A step in RTP timestamps up to this is believed; a longer one only when as much time passed.
pub const TIMESTAMP_JUMP: Duration = Duration::from_secs(2);
/// How late a packet may be and still find its place in a recording.
pub const REORDER_WINDOW: Duration = Duration::from_millis(200);
/// Gaps between arrivals up to this are jitter.
pub const JITTER_TOLERANCE: Duration = Duration::from_millis(60);
/// Recorded frames are handed over at least this often.
pub const FRAMES_FLUSH: Duration = Duration::from_millis(500);
/// The most recorded bytes in one [`Event::Frames`](crate::Event::Frames).
pub const FRAMES_BYTES: usize = 8 * 1024;
/// Voice is this much above [`VOICE_LEVEL_DBM0`] in one piece.
pub const VOICE_DURATION: Duration = Duration::from_millis(100);
/// The level that separates voice from silence.
pub const VOICE_LEVEL_DBM0: f64 = -45.0;

/// Less than this queued is [`Event::PlaybackLow`](crate::Event::PlaybackLow).
pub const PLAYBACK_LOW: Duration = Duration::from_millis(500);
/// The most playout that is made up for when the caller of the core was late.
pub const PLAYOUT_CATCH_UP: Duration = Duration::from_millis(200);
/// With nothing to play, one packet of silence is sent this often (RFC 6263 §4.6 has reasons).
pub const IDLE_KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Hold for this long is [`Event::HeldTooLong`](crate::Event::HeldTooLong).
pub const HOLD_MAX: Duration = Duration::from_secs(300);
/// Neither RTP nor RTCP for this long is [`Event::MediaDead`](crate::Event::MediaDead).
pub const MEDIA_DEAD: Duration = Duration::from_secs(30);
/// A plain RTP peer may send from another address after this much quiet of the one before.
pub const PLAIN_RELATCH: Duration = Duration::from_secs(2);
/// RTCP is sent about this often (RFC 3550 §6.2).
pub const RTCP_INTERVAL: Duration = Duration::from_secs(5);
/// Key presses remembered, so that late packets of one are not taken for another.
pub const PRESSES: usize = 8;

/// The longest prompt.
pub const CLIP_DURATION: Duration = Duration::from_secs(600);
