//! Every metric: its name, kind, labels and meaning. docs/metrics.md has the same table, and a test compares them.
//!
//! No label takes a value from a peer: methods, reasons and outcomes are closed sets, listeners and trunks are the
//! operator's, files stand in the configuration. No number, no name of a person, no user name of a device.

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Durations in seconds, by buckets.
    Histogram,
}

impl Kind {
    /// As Prometheus calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $id: &str = $name;)*

        /// All of them.
        pub const ALL: &[Metric] = &[$(Metric {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        },)*];
    };
}

metrics! {
    SIP_REQUESTS = Counter "hushbox_sip_requests_total" ["method", "transport", "trunk"]
        "SIP requests that came, repetitions included";
    SIP_RESPONSES = Counter "hushbox_sip_responses_total" ["class", "method"]
        "SIP responses that were sent, repetitions included";
    SIP_REQUESTS_SENT = Counter "hushbox_sip_requests_sent_total" ["method"]
        "SIP requests that were sent, repetitions included";
    SIP_RESPONSES_RECEIVED = Counter "hushbox_sip_responses_received_total" ["class", "method"]
        "SIP responses that came";
    SIP_PARSE_ERRORS = Counter "hushbox_sip_parse_errors_total" ["reason"]
        "What came and was no SIP message";
    SIP_NO_ROOM = Counter "hushbox_sip_requests_refused_total" ["reason", "trunk"]
        "SIP requests that there was no room for, answered 503 or not at all";
    SIP_TRANSACTIONS = Gauge "hushbox_sip_transactions" []
        "SIP transactions of all kinds";
    SIP_DIALOGS = Gauge "hushbox_sip_dialogs" []
        "SIP sessions, answered or not";
    SIP_SUBSCRIPTIONS = Gauge "hushbox_sip_subscriptions" []
        "Telephones and PBXs that watch a mailbox's lamp";
    CALLS = Gauge "hushbox_calls" ["kind"]
        "Calls at this moment";
    CALLS_ADMITTED = Counter "hushbox_calls_admitted_total" ["kind", "trunk"]
        "Calls that were let in";
    CALLS_REFUSED = Counter "hushbox_calls_refused_total" ["reason", "trunk"]
        "Calls that were refused";
    IN_CALL_REFUSED = Counter "hushbox_in_call_requests_refused_total" ["reason"]
        "Requests inside a call that came from elsewhere, and were asked whose they are";
    SUBSCRIPTIONS_REFUSED = Counter "hushbox_subscriptions_refused_total" ["reason"]
        "Subscriptions to lamps, and refreshes of them, that were refused";
    CALLS_ENDED = Counter "hushbox_calls_ended_total" ["kind", "reason"]
        "Calls that have ended (docs/end-reasons.md)";
    CALL_SECONDS = Histogram "hushbox_call_seconds" ["kind"]
        "How long calls were";
    INVITE_SECONDS = Histogram "hushbox_invite_to_200_seconds" []
        "From the first INVITE of a call to its 200";
    MESSAGES_SAVED = Counter "hushbox_messages_saved_total" []
        "Messages that were saved: synced in the spool";
    MESSAGES_CUT = Counter "hushbox_messages_cut_total" []
        "Recordings that the spool could not take whole";
    MESSAGES_DELIVERED = Counter "hushbox_messages_delivered_total" []
        "Messages that reached their mailbox";
    MESSAGES_UNPLAYABLE = Counter "hushbox_messages_unplayable_total" ["reason"]
        "Times that a message was to be played, exported or revealed and could not be";
    DELIVERY_FAILURES = Counter "hushbox_delivery_failures_total" []
        "Attempts to deliver a message that failed; each is made again";
    DELIVERIES_PENDING = Gauge "hushbox_deliveries_pending" []
        "Saved messages that are not in their mailbox yet";
    DELIVERY_LAG = Gauge "hushbox_delivery_lag_seconds" []
        "How long the oldest of them has waited";
    SPOOL_SYNC_SECONDS = Histogram "hushbox_spool_sync_seconds" []
        "From asking for a sync of the spool to its end";
    SPOOL_UNDELIVERED = Gauge "hushbox_spool_undelivered_messages" ["shard"]
        "Messages in a shard's spool, those being recorded included";
    SPOOL_ROOM = Gauge "hushbox_spool_room_bytes" ["shard"]
        "What a shard's spool can still take";
    DISK_FREE = Gauge "hushbox_disk_free_bytes" ["folder"]
        "Free bytes on the disks of data and audit log";
    AUDIT_APPEND_SECONDS = Histogram "hushbox_audit_append_seconds" []
        "Writing and syncing a batch of audit records";
    AUDIT_FAILURES = Counter "hushbox_audit_failures_total" []
        "Batches of audit records that could not be written";
    AUDIT_QUEUE = Gauge "hushbox_audit_queue" []
        "Audit records that wait to be written";
    LOG_INS = Counter "hushbox_log_ins_total" ["outcome"]
        "PINs that were tried, at telephones and for commands";
    PIN_QUEUE = Gauge "hushbox_pin_queue" ["lane"]
        "Places taken among those who wait for a PIN's comparison";
    RTP_RECEIVED = Counter "hushbox_rtp_packets_received_total" []
        "RTP packets of calls that have ended";
    RTP_LOST = Counter "hushbox_rtp_packets_lost_total" []
        "RTP packets that never came, of calls that have ended";
    SRTP_AUTH_FAILURES = Counter "hushbox_srtp_auth_failures_total" []
        "Packets that failed authentication, of calls that have ended";
    SRTP_REPLAYS = Counter "hushbox_srtp_replays_total" []
        "Packets that came twice, of calls that have ended";
    CONNECTIONS = Gauge "hushbox_connections" ["listener"]
        "Connections at this moment";
    CONNECTIONS_OPENED = Counter "hushbox_connections_opened_total" ["listener"]
        "Connections that were taken";
    CONNECTIONS_REFUSED = Counter "hushbox_connections_refused_total" ["reason"]
        "Connections that were closed as they came";
    REGISTERED = Gauge "hushbox_registered" ["registration"]
        "1 while a registration with a PBX holds";
    REGISTRATION_FAILURES = Counter "hushbox_registration_failures_total" ["registration"]
        "Tries to register with a PBX that failed";
    DATAGRAMS_DROPPED = Counter "hushbox_datagrams_dropped_total" []
        "Datagrams that were dropped, since signalling was behind";
    TLS_FAILURES = Counter "hushbox_tls_handshake_failures_total" ["reason"]
        "TLS handshakes that failed";
    TLS_RELOADS = Counter "hushbox_tls_reloads_total" ["outcome"]
        "Changed certificate files that were taken or refused";
    CERTIFICATE_END = Gauge "hushbox_certificate_not_after_seconds" ["use", "file"]
        "When a certificate ends, in Unix time; the first of a file to end";
    CLOCK_STEPS = Counter "hushbox_clock_steps_total" ["direction"]
        "Steps of the machine's clock against monotonic time";
    CLOCK_DOUBTED = Gauge "hushbox_clock_doubted" []
        "1 while the machine's clock is ahead and not believed";
    READY = Gauge "hushbox_ready" []
        "1 while new calls are taken";
    RECORD_ONLY = Gauge "hushbox_record_only" []
        "1 where messages cannot be opened, since the root key is missing";
    BUILD_INFO = Gauge "hushbox_build_info" ["version"]
        "Always 1; the version is in the label";
    START_SECONDS = Gauge "process_start_time_seconds" []
        "When the process started, in Unix time";
    CPU_TIME = Counter "hushbox_cpu_milliseconds_total" []
        "CPU time of the process, user and system";
    RESIDENT_BYTES = Gauge "process_resident_memory_bytes" []
        "Memory of the process";
    OPEN_FILES = Gauge "process_open_fds" []
        "Open files and sockets of the process";
    MAX_FILES = Gauge "process_max_fds" []
        "How many it may have open";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const DOC: &str = include_str!("../../../../docs/metrics.md");
    const ALERTS: &str = include_str!("../../../../config/prometheus/alerts.yml");
    const DASHBOARD: &str = include_str!("../../../../config/grafana/hushbox.json");

    /// Every word in a text that looks like a metric's name.
    fn named(text: &str) -> BTreeSet<&str> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|word| word.starts_with("hushbox_") || word.starts_with("process_"))
            .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
            .collect()
    }

    #[test]
    fn the_page_for_operators_has_the_same_table() {
        for metric in ALL {
            let labels: Vec<String> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
            let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(", ") };
            let (name, kind, help) = (metric.name, metric.kind.as_str(), metric.help);
            let row = format!("| `{name}` | {kind} | {labels} | {help} |\n");
            assert!(DOC.contains(&row), "docs/metrics.md lacks: {row}");
        }
        let rows =
            DOC.lines().filter(|l| l.starts_with("| `hushbox_") || l.starts_with("| `process_"));
        assert_eq!(rows.count(), ALL.len(), "and no other row");
    }

    #[test]
    fn alerts_and_dashboard_speak_of_metrics_that_there_are() {
        let known: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        for (file, text) in [("alerts.yml", ALERTS), ("hushbox.json", DASHBOARD)] {
            let named = named(text);
            assert!(named.len() > 10, "{file} was read");
            for name in named {
                assert!(known.contains(name), "{file} names {name}");
            }
        }
    }

    #[test]
    fn the_dashboard_shows_every_metric() {
        let shown = named(DASHBOARD);
        for metric in ALL {
            assert!(shown.contains(metric.name), "{} is on no panel", metric.name);
        }
        let json: serde_json::Value = serde_json::from_str(DASHBOARD).expect("JSON");
        assert_eq!(json["title"], "Hushbox");
    }

    #[test]
    fn reasons_that_alerts_ask_for_exist() {
        let quoted = ALERTS.split("reason=").skip(1).filter_map(|rest| rest.split('"').nth(1));
        let mut known: BTreeSet<&str> =
            hushbox_call::signalling::Why::ALL.iter().map(|why| why.as_str()).collect();
        known.extend(hushbox_call::EndReason::ALL.iter().map(|reason| reason.as_str()));
        known.extend(hushbox_sip::Overflow::ALL.iter().map(|why| why.as_str()));
        known.extend(crate::metrics::TlsFailure::ALL.iter().map(|why| why.as_str()));
        known.extend(["damaged", "unreadable"]);
        let mut asked = 0;
        for reason in quoted.flat_map(|reasons| reasons.split('|')) {
            assert!(known.contains(reason), "no reason {reason}");
            asked += 1;
        }
        assert!(asked > 5);
    }

    #[test]
    fn every_alert_is_explained() {
        let page = include_str!("../../../../docs/operations.md");
        let alerts = ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
        let mut count = 0;
        for alert in alerts {
            assert!(page.contains(&format!("| `{alert}` |")), "docs/operations.md lacks {alert}");
            count += 1;
        }
        assert_eq!(page.lines().filter(|l| l.starts_with("| `Hushbox")).count(), count);
    }
}
