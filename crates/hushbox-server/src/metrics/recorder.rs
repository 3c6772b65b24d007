//! Where counters are kept, and the text in which Prometheus reads them.

use metrics::{describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::table::{self, Kind};

/// Buckets for what should take milliseconds, in seconds.
const LATENCIES: [f64; 13] =
    [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Buckets for calls, in seconds.
const LENGTHS: [f64; 10] = [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1_800.0];

/// Gives the counters out as text.
#[derive(Clone, Debug)]
pub struct Exposition(PrometheusHandle);

impl Exposition {
    /// All of them, as Prometheus reads them.
    pub fn text(&self) -> String {
        self.0.render()
    }

    /// Puts what was measured into its buckets; to be called every few seconds, whether or not anybody asks.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

/// Counters could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct RecorderError(String);

/// Starts counting in this process. A second call fails.
pub fn install() -> Result<Exposition, RecorderError> {
    let recorder = builder().map_err(|error| RecorderError(error.to_string()))?.build_recorder();
    let exposition = Exposition(recorder.handle());
    metrics::set_global_recorder(recorder).map_err(|error| RecorderError(error.to_string()))?;
    begin();
    Ok(exposition)
}

fn builder() -> Result<PrometheusBuilder, metrics_exporter_prometheus::BuildError> {
    let lengths = Matcher::Full(table::CALL_SECONDS.to_owned());
    PrometheusBuilder::new().set_buckets(&LATENCIES)?.set_buckets_for_metric(lengths, &LENGTHS)
}

/// Describes every metric, and puts what can be known at zero.
fn begin() {
    for metric in table::ALL {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, metric.help),
        }
    }
    let now = jiff::Timestamp::now().as_second();
    gauge!(table::START_SECONDS).set(now as f64);
    super::zeros();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::metrics;

    fn counted(what: impl FnOnce()) -> String {
        let recorder = builder().expect("buckets").build_recorder();
        let exposition = Exposition(recorder.handle());
        ::metrics::with_local_recorder(&recorder, || {
            begin();
            what();
        });
        exposition.text()
    }

    #[test]
    fn what_is_given_out_stands_in_the_table_with_its_kind_and_its_labels() {
        let text = counted(|| {});
        let mut seen = BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a kind");
                let metric = table::ALL.iter().find(|m| m.name == name);
                let metric = metric.unwrap_or_else(|| panic!("{name} is not in the table"));
                assert_eq!(metric.kind.as_str(), kind, "{name}");
                seen.insert(name.to_owned());
            } else if let Some((name, rest)) = line.split_once('{') {
                let base = ["_bucket", "_sum", "_count"].iter().find_map(|e| name.strip_suffix(e));
                let metric = table::ALL.iter().find(|m| Some(m.name) == base || m.name == name);
                let labels: Vec<&str> =
                    rest.split("\",").filter_map(|l| Some(l.split_once('=')?.0)).collect();
                let known = metric.expect("in the table").labels;
                assert!(labels.iter().all(|l| *l == "le" || known.contains(l)), "{line}");
            }
        }
        // What is counted by file, folder, shard or registration appears with the first of them.
        let later = ["file", "folder", "shard", "registration"];
        for metric in table::ALL {
            let waits = metric.labels.iter().any(|l| later.contains(l))
                || metric.name.starts_with("process_")
                || metric.name == table::CPU_TIME;
            assert!(waits || seen.contains(metric.name), "{} is not given out", metric.name);
        }
    }

    #[test]
    fn a_duration_falls_into_its_bucket() {
        let text = counted(|| metrics::invite_answered(std::time::Duration::from_millis(7)));
        assert!(text.contains("hushbox_invite_to_200_seconds_bucket{le=\"0.005\"} 0\n"), "{text}");
        assert!(text.contains("hushbox_invite_to_200_seconds_bucket{le=\"0.01\"} 1\n"), "{text}");
    }

    #[test]
    fn a_trunks_name_is_escaped_as_a_label() {
        let name: metrics::TrunkName = "p\"b\nx".into();
        let text = counted(|| metrics::trunk(&name));
        assert!(text.contains("trunk=\"p\\\"b\\nx\""), "{text}");
    }
}
