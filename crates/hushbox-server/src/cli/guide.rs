//! `hushbox guide`: how to reach a trial installation with a softphone.

use super::args::Guide;
use super::{Failure, load};
use crate::config::Config;
use crate::trial::Trial;

pub(super) fn run(args: &Guide) -> Result<(), Failure> {
    let config = load(&args.at)?;
    let file = config.trial_file();
    let trial = Trial::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    super::say(&format!("{}\n", text(&config, &trial)));
    Ok(())
}

/// What a person with a softphone needs. PINs and passwords stay in trial.json.
pub(super) fn text(config: &Config, trial: &Trial) -> String {
    use std::fmt::Write;
    let mut text = String::from("Try it with a softphone (no registration needed)\n\n");
    let trial_file = config.trial_file();
    // Writing to a String cannot fail.
    let _ = (|| {
        if let Some(tls) = trial.sip.tls {
            writeln!(
                text,
                "  server      {tls}, transport TLS, media SRTP (SDES), no registration"
            )?;
            writeln!(text, "  authority   {}", trial.ca.display())?;
        }
        if let Some(udp) = trial.sip.lab_udp {
            writeln!(
                text,
                "  lab, UDP    {udp} (unencrypted, accounts of the profile standard only)"
            )?;
        }
        if let Some(tcp) = trial.sip.lab_tcp {
            writeln!(text, "  lab, TCP    {tcp} (the same)")?;
        }
        for account in &trial.accounts {
            writeln!(
                text,
                "\n  account {} (profile {}), domain {}",
                account.name, account.profile, account.domain
            )?;
            for mailbox in &account.mailboxes {
                for person in &mailbox.persons {
                    let Some(device) = &person.device else { continue };
                    writeln!(text, "    mailbox {}, person {}", mailbox.number, person.number)?;
                    writeln!(
                        text,
                        "      telephone    sip:{}@{}",
                        device.username, account.domain
                    )?;
                    writeln!(text, "      certificate  {}", device.cert.display())?;
                    writeln!(text, "      key          {}", device.key.display())?;
                    writeln!(text, "      or password  digest SHA-256, in trial.json")?;
                    writeln!(
                        text,
                        "      leave a message at sip:{}@{}",
                        mailbox.number, account.domain
                    )?;
                    writeln!(
                        text,
                        "      hear it at         sip:{}@{}",
                        trial.retrieval, account.domain
                    )?;
                }
            }
        }
        write!(text, "\n  PINs and passwords: {}", trial_file.display())
    })();
    text
}
