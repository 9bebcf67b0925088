//! QEMU's sockets: for its debugger stub and its monitor.
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long QEMU may take to open a socket.
const PATIENCE: Duration = Duration::from_secs(20);

/// What QEMU's option says that has it listen there.
pub fn listens(socket: &Path) -> String {
    format!("unix:{},server=on,wait=off", socket.display())
}

/// Who listens there, once it does.
///
/// # Errors
/// Nobody does.
pub fn connect(socket: &Path) -> Result<UnixStream, String> {
    let began = Instant::now();
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return Ok(stream),
            Err(error) if began.elapsed() > PATIENCE => {
                return Err(format!("{}: {error}", socket.display()));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}
