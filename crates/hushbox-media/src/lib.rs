//! Media of a voicemail server as a pure core: SDP, RTP, RTCP, SRTP, codecs and telephone digits
