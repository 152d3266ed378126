//! Stock clients against the binary: `tests/clients/run.py` once for each file
//! `tests/clients/requirements-<name>.txt`, in a virtual environment of its own. The
//! set's name is in `THALWEG_CLIENTS`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Exit code of `run.py` where what a set is for could not run.
const TOOL_MISSING: i32 = 3;

/// What the command line asks for.
#[derive(Default, PartialEq, Eq, Debug)]
struct Options {
    /// Only this set of clients.
    name: Option<String>,
    /// The binary to test; built where it is not given.
    binary: Option<PathBuf>,
}

/// How one set of clients went.
enum Outcome {
    Passed,
    Failed,
    /// It could not be tried, for this reason.
    NotRun(String),
    /// What the set is for needs a tool that is missing here; `run.py` has said which.
    ToolMissing,
}

/// Runs the sets; true where none failed. What cannot be run at all (no `python3`, no
/// package index) is a failure only under `CI=true`, and is always said; so is a set whose
/// own tool (Java, Node, Go) is missing, which is none.
pub(crate) fn run(root: &Path, words: &[&str]) -> anyhow::Result<bool> {
    let options = parse(words)?;
    let names = sets(&root.join("tests/clients"), options.name.as_deref())?;
    let target = target_directory(root)?;
    let binary = match options.binary {
        Some(path) => path,
        None => build(root, &target)?,
    };
    // Clients run in the workspace's folder.
    let binary = std::path::absolute(&binary)?;
    if !binary.is_file() {
        bail!("{}: no such binary; leave --binary out to have it built", binary.display());
    }
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let mut well = true;
    for name in names {
        println!("clients {name}");
        match run_set(root, &target, &name, &binary)? {
            Outcome::Passed => println!("clients {name}: passed"),
            Outcome::Failed => {
                println!("clients {name}: FAILED");
                well = false;
            }
            Outcome::NotRun(reason) => {
                println!("clients {name}: NOT RUN: {reason}");
                well &= !in_ci;
            }
            Outcome::ToolMissing => {
                println!("clients {name}: NOT RUN: a tool is missing, see above");
            }
        }
    }
    Ok(well)
}

fn parse(words: &[&str]) -> anyhow::Result<Options> {
    let mut options = Options::default();
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        match word {
            "--name" => options.name = Some((*value).to_owned()),
            "--binary" => options.binary = Some(value.into()),
            _ => bail!("unknown option {word}; there are --name and --binary"),
        }
    }
    Ok(options)
}

/// Names of the sets in a folder, sorted.
fn sets(folder: &Path, only: Option<&str>) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let file = entry?.file_name();
        let name = file.to_str().and_then(|file| file.strip_prefix("requirements-"));
        names.extend(name.and_then(|name| name.strip_suffix(".txt")).map(str::to_owned));
    }
    names.sort();
    let known = names.join(", ");
    names.retain(|name| only.is_none_or(|only| only == name));
    if names.is_empty() {
        bail!("no set of clients {}; there are: {known}", only.unwrap_or("at all"));
    }
    Ok(names)
}

fn target_directory(root: &Path) -> anyhow::Result<PathBuf> {
    let output = cargo(root).args(["metadata", "--format-version", "1", "--no-deps"]).output()?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    Ok(metadata["target_directory"].as_str().context("cargo metadata: no target directory")?.into())
}

fn build(root: &Path, target: &Path) -> anyhow::Result<PathBuf> {
    if !cargo(root).args(["build", "-p", "thalweg", "--bin", "thalweg"]).status()?.success() {
        bail!("the binary does not build");
    }
    Ok(target.join("debug/thalweg"))
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

fn run_set(root: &Path, target: &Path, name: &str, binary: &Path) -> anyhow::Result<Outcome> {
    let requirements = root.join(format!("tests/clients/requirements-{name}.txt"));
    let venv = target.join(format!("clients-venv-{name}"));
    if let Some(reason) = install(&venv, &requirements)? {
        return Ok(Outcome::NotRun(reason));
    }
    let status = Command::new(venv.join("bin/python"))
        .args(["tests/clients/run.py", "--binary"])
        .arg(binary)
        .env("THALWEG_CLIENTS", name)
        .current_dir(root)
        .status()?;
    Ok(match status.code() {
        Some(0) => Outcome::Passed,
        Some(TOOL_MISSING) => Outcome::ToolMissing,
        _ => Outcome::Failed,
    })
}

/// Makes the virtual environment as the requirements say, unless it is already so.
/// Says why where that cannot be done.
fn install(venv: &Path, requirements: &Path) -> anyhow::Result<Option<String>> {
    let wanted = std::fs::read_to_string(requirements)?;
    let stamp = venv.join("installed-requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(None);
    }
    if !succeeds(Command::new("python3").arg("--version")) {
        return Ok(Some("python3 is missing".into()));
    }
    if !succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv)) {
        return Ok(Some(
            "python3 cannot make virtual environments; python3-venv is missing".into(),
        ));
    }
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    if !succeeds(pip.arg(requirements)) {
        return Ok(Some(format!("pip cannot install {}", requirements.display())));
    }
    std::fs::write(stamp, wanted)?;
    Ok(None)
}

fn succeeds(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked() {
        let options = parse(&["--name", "kafka-python", "--binary", "b"]).expect("known");
        assert_eq!(options.name.as_deref(), Some("kafka-python"));
        assert_eq!(options.binary.as_deref(), Some(Path::new("b")));
        assert_eq!(parse(&[]).expect("none"), Options::default());
        assert!(parse(&["--name"]).is_err());
        assert!(parse(&["--nme", "x"]).is_err());
    }

    #[test]
    fn sets_are_the_requirements_files() {
        let folder = tempfile::tempdir().expect("temporary directory");
        for file in ["requirements-b.txt", "requirements-a.txt", "run.py", "requirements.in"] {
            std::fs::write(folder.path().join(file), "").expect("write");
        }
        assert_eq!(sets(folder.path(), None).expect("sets"), ["a", "b"]);
        assert_eq!(sets(folder.path(), Some("b")).expect("sets"), ["b"]);
        let error = sets(folder.path(), Some("c")).expect_err("unknown");
        assert!(error.to_string().contains("there are: a, b"), "{error}");
    }
}
