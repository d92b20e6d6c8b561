//! The command in a folder of its own: what the tests of the command share.

#![allow(dead_code)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest that a guarded run may take, on a busy machine.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Two layers with a filter and a leak, a delay, and a loop of one step.
pub(crate) const NETWORK: &str = r#"(
    schema: 1,
    dt: 1e-3,
    nodes: {
        "in": Input(shape: [3]),
        "fc1": Affine(weight: [[0.9, 0.4, 0.0], [0.3, 0.8, 0.7], [-0.2, 0.6, 1.0], [0.5, 0.5, 0.5]], bias: 0.03),
        "hidden": Lif(shape: [4], tau: 10e-3, r: 10, v_threshold: 1.0),
        "again": Linear(weight: Sparse(shape: (4, 4), entries: [(0, 1, 0.25), (3, 2, -0.5)])),
        "fc2": Linear(weight: [[0.6, -0.3, 0.5, 0.2], [-0.1, 0.7, 0.4, 0.3]], delay: 2),
        "out_neurons": CubaLif(shape: [2], tau_syn: 4e-3, w_in: 4, tau_mem: 8e-3, r: 8, v_threshold: 0.5),
        "out": Output(shape: [2]),
    },
    edges: [
        ("in", "fc1"), ("fc1", "hidden"), ("hidden", "again"), ("again", "hidden"),
        ("hidden", "fc2"), ("fc2", "out_neurons"), ("out_neurons", "out"),
    ],
)
"#;

/// Eight steps of three elements.
pub(crate) const SPIKES: &str = "1,0,1\n1,1,0\n0,1,1\n1,1,1\n1,0,0\n0,0,1\n1,1,1\n1,1,0\n";

/// Three samples of three elements, their labels, and the flags that read them from `levels.csv` and `labels.csv`.
pub(crate) const LEVELS: &str = "1.0,0.5,0.25\n0.1,0.9,0.4\n0.7,0.7,0.0\n";
pub(crate) const LABELS: &str = "0\n1\n0\n";
pub(crate) const DATA: &str = "--input levels.csv --data-kind levels --labels labels.csv --steps 20";

/// A folder with files, in which the command runs.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A folder with text files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let place = Self::new();
        files.iter().for_each(|(name, text)| place.write(name, text));
        place
    }

    /// A copy of the files of `examples/NAME`.
    pub(crate) fn example(name: &str) -> Self {
        let place = Self::new();
        for entry in std::fs::read_dir(example(name)).expect("an example").flatten() {
            if entry.path().is_file() {
                std::fs::copy(entry.path(), place.path(&entry.file_name().to_string_lossy())).expect("a copy");
            }
        }
        place
    }

    /// Path of a file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file; folders on the way are made.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }

    /// Reads a file.
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Reads a JSON file.
    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The files under a folder with their bytes, by path.
    pub(crate) fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.path(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(self.folder.path()).expect("a path inside");
                    files.push((name.display().to_string(), std::fs::read(&path).expect("a file")));
                }
            }
        }
        files.sort();
        files
    }

    /// The command with arguments, split at spaces, to run in this folder. Help texts are 100 columns wide.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snncc"));
        command.args(arguments.split_whitespace()).current_dir(self.folder.path()).env("COLUMNS", "100");
        command
    }

    /// Runs the command.
    pub(crate) fn run(&self, arguments: &str) -> Ran {
        let output = self.command(arguments).output().expect("the command starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        Ran {
            command: format!("snncc {arguments}"),
            exit: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Runs the command on input that may be anything: with little memory and time; beyond these it ends with a signal.
    /// Standard output is dropped.
    pub(crate) fn run_guarded(&self, arguments: &str) -> Ran {
        let log = self.path("stderr.log");
        let mut command = guarded(self.command(&format!("--jobs 1 {arguments}")));
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(std::fs::File::create(&log).expect("a file"));
        let mut child = command.spawn().expect("the command starts");
        let start = Instant::now();
        let status = loop {
            match child.try_wait().expect("the command can be waited for") {
                Some(status) => break status,
                None if start.elapsed() > TIME_LIMIT => child.kill().expect("the command can be ended"),
                None => std::thread::sleep(Duration::from_micros(500)),
            }
        };
        let stderr = String::from_utf8_lossy(&std::fs::read(&log).expect("a file")).into_owned();
        Ran { command: format!("snncc {arguments}"), exit: status.code(), stdout: String::new(), stderr }
    }
}

/// The same command with at most 4 GiB of address space, where the system can say so.
fn guarded(command: Command) -> Command {
    if !cfg!(target_os = "linux") {
        return command;
    }
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 4194304; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    limited
}

/// What a run of the command gave.
pub(crate) struct Ran {
    /// As one types it.
    pub(crate) command: String,
    /// Exit code; `None` after a signal.
    pub(crate) exit: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Ran {
    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn exits(self, exit: i32) -> Self {
        assert_eq!(self.exit, Some(exit), "{}", self.transcript());
        self
    }

    /// Checks that standard error has a diagnostic of this code.
    #[track_caller]
    pub(crate) fn says(self, code: &str) -> Self {
        assert!(self.stderr.contains(&format!("[{code}]")), "{code} is missing\n{}", self.transcript());
        self
    }

    /// Standard output as JSON: one document and nothing else.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{}", self.transcript()))
    }

    /// Command, output, errors and exit code as one text.
    pub(crate) fn transcript(&self) -> String {
        let exit = self.exit.map_or("by a signal".to_owned(), |code| code.to_string());
        format!("$ {}\n{}--- standard error\n{}--- exit {exit}\n", self.command, self.stdout, self.stderr)
    }
}

/// Folder of an example.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

/// The commands of an example's README, without the program's name.
pub(crate) fn readme_commands(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(example(name).join("README.md")).expect("a README");
    text.lines().filter_map(|line| line.strip_prefix("    snncc ")).map(str::to_owned).collect()
}
