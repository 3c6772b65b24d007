//! A 1.2 kB INVITE read and written, beside `rsip` in the same run: `cargo bench -p hushbox-benches --bench parse`,
//! with `-- --json` for programs.

use hushbox_benches::{contest, invite};

fn main() -> std::io::Result<()> {
    let (ours, theirs) = (invite::ours(), invite::theirs());
    let figures = contest::run(&invite::entries(&ours, &theirs));
    contest::print(&figures, std::env::args())
}
