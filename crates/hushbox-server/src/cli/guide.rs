//! `hushbox guide`: how to reach a trial installation with a softphone.

use std::net::SocketAddr;

use super::args::Guide;
use super::{Failure, load};
use crate::config::Config;
use crate::sockets;
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
        let named =
            |address: SocketAddr| SocketAddr::new(sockets::reachable(address.ip()), address.port());
        let (tls, lab_udp, lab_tcp) =
            (trial.sip.tls.map(named), trial.sip.lab_udp.map(named), trial.sip.lab_tcp.map(named));
        if let Some(tls) = tls {
            writeln!(
                text,
                "  server      {tls}, transport TLS, media SRTP (SDES), no registration"
            )?;
            writeln!(text, "  authority   {}", trial.ca.display())?;
        }
        if let Some(udp) = lab_udp {
            writeln!(
                text,
                "  lab, UDP    {udp} (unencrypted, accounts of the profile standard only)"
            )?;
        }
        if let Some(tcp) = lab_tcp {
            writeln!(text, "  lab, TCP    {tcp} (the same)")?;
        }
        for account in &trial.accounts {
            // The built-in account has no profile and no telephone.
            let Some(profile) = &account.profile else { continue };
            writeln!(
                text,
                "\n  account {} (profile {profile}), domain {}",
                account.name, account.domain
            )?;
            for mailbox in &account.mailboxes {
                for person in &mailbox.persons {
                    let Some(device) = &person.device else { continue };
                    let (number, domain) = (&mailbox.number, &account.domain);
                    writeln!(text, "    mailbox {number}, person {}", person.number)?;
                    writeln!(text, "      telephone        sip:{}@{domain}", device.username)?;
                    writeln!(text, "      certificate      {}", device.cert.display())?;
                    writeln!(text, "      its key          {}", device.key.display())?;
                    writeln!(text, "      or a password    digest SHA-256, in trial.json")?;
                    for (what, user) in [("leave a message", number), ("hear it", &trial.retrieval)]
                    {
                        write!(text, "      {what:<16} sip:{user}@{domain}")?;
                        match tls {
                            Some(tls) => writeln!(text, " (or sip:{user}@{tls})")?,
                            None => writeln!(text)?,
                        }
                    }
                }
            }
        }
        writeln!(
            text,
            "\n  keys: the PIN and #, then 1 hear, 4 previous, 5 again, 6 next, 7 delete, 9 save, * help, # leave"
        )?;
        write!(text, "  PINs and passwords: {}", trial_file.display())
    })();
    text
}
