//! The file with what was measured of this machine: where it is, and when it is read and written.

use crate::args::SessionArgs;
use gradus::bench::{calibrate, profile::Profile};
use std::path::{Path, PathBuf};

/// `gradus/machine.json` in the user's folder for caches.
pub fn cache_file() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let folder = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|h| h.join(".cache")))?;
    Some(folder.join("gradus").join("machine.json"))
}

/// A file that was named does not describe a machine; a person was told.
pub struct NotAProfile;

fn read(path: &Path) -> Result<Profile, String> {
    let text = std::fs::read_to_string(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_string(),
        _ => e.to_string(),
    })?;
    Profile::from_json(&text)
}

/// The profile that `--machine` names, or that was measured before; none is no mistake. A file that was asked for and is no profile is
/// (said here); one in the cache is passed over with a word.
pub fn profile(args: &SessionArgs) -> Result<Option<Profile>, NotAProfile> {
    match args.machine.as_deref() {
        Some("default") => Ok(None),
        Some(path) => read(Path::new(path)).map(Some).map_err(|e| {
            eprintln!("gradus: `{path}` does not describe a machine: {e}");
            NotAProfile
        }),
        None => {
            let Some(path) = cache_file().filter(|p| p.exists()) else { return Ok(None) };
            Ok(read(&path)
                .inspect_err(|e| eprintln!("gradus: `{}` is passed over, `gradus calibrate` writes it anew: {e}", path.display()))
                .ok())
        }
    }
}

/// Like `profile`, but a machine that was never measured, or is another one, is measured now.
pub fn measured(args: &SessionArgs) -> Result<Option<Profile>, NotAProfile> {
    let known = profile(args)?;
    if args.machine.is_some() || known.as_ref().is_some_and(|p| p.processor == calibrate::processor()) {
        return Ok(known);
    }
    let Some(path) = cache_file() else { return Ok(known) };
    eprintln!("gradus: measuring this machine once");
    Ok(measure(&path))
}

/// Measures, and writes the file.
pub fn measure(path: &Path) -> Option<Profile> {
    let profile = match calibrate::calibrate() {
        Ok(p) => p,
        Err(e) => {
            eprintln!("gradus: this machine could not be measured: {e}");
            return None;
        }
    };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let written = folder.map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, profile.to_json()));
    if let Err(e) = written {
        eprintln!("gradus: `{}` could not be written: {e}", path.display());
        return None;
    }
    Some(profile)
}
