//! Puts the English prompts into the program, so that it needs no folder beside it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let prompts = root.join("../../config/prompts/en");
    println!("cargo::rerun-if-changed={}", prompts.display());
    let mut files: Vec<PathBuf> = std::fs::read_dir(&prompts)
        .expect("config/prompts/en is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "opus"))
        .collect();
    // By name, not by path: `for` comes before `for-mailbox`, as the look-up expects.
    files.sort_by_key(|file| file.file_stem().map(std::ffi::OsStr::to_owned));
    let mut table =
        String::from("/// Prompts by name, Ogg Opus.\nconst ENGLISH: &[(&str, &[u8])] = &[\n");
    for file in files {
        let name = file.file_stem().and_then(|name| name.to_str()).expect("a name in UTF-8");
        let path = file.canonicalize().expect("it is there");
        writeln!(table, "    ({name:?}, include_bytes!({:?})),", path.display().to_string())
            .expect("a string");
    }
    table.push_str("];\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("set by cargo"));
    std::fs::write(Path::new(&out).join("english.rs"), table).expect("OUT_DIR can be written");
}
