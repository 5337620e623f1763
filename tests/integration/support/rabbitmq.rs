//! A private RabbitMQ server, with a port mapper of its own.

use super::process::{Process, free_port};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// It ends with the value.
pub struct Server {
    pub port: u16,
    nodes_port: u16,
    mapper_port: u16,
    erlang: &'static str,
    // Before the mapper and the directory: it is ended first.
    process: Option<Process>,
    _mapper: Process,
    place: TempDir,
}

impl Server {
    /// Starts one with more lines of `rabbitmq.conf`, and more arguments of its virtual machine.
    pub fn start(config: &str, erlang: &'static str) -> Server {
        let place = tempfile::tempdir().expect("a directory");
        let (port, nodes_port, mapper_port) = (free_port(), free_port(), free_port());
        let config = format!("listeners.tcp.1 = 127.0.0.1:{port}\n{config}");
        for (name, text) in [("rabbitmq.conf", config.as_str()), ("plugins", "[].")] {
            std::fs::write(place.path().join(name), text).expect("a file");
        }
        let mut mapper = Command::new("epmd");
        mapper.args(["-address", "127.0.0.1", "-port", &mapper_port.to_string()]);
        let mut server = Server {
            port,
            nodes_port,
            mapper_port,
            erlang,
            process: None,
            _mapper: Process::start(&mut mapper, mapper_port),
            place,
        };
        server.restart();
        server
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Starts it again on the same port, with what it had stored.
    pub fn restart(&mut self) {
        // The program in the path changes to another user.
        let installed = Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
        let mut command = if installed.exists() {
            Command::new(installed)
        } else {
            Command::new("rabbitmq-server")
        };
        let place = self.place.path();
        let name = format!("tributary-{}-{}@localhost", std::process::id(), self.port);
        command
            .env("HOME", place)
            .env("RABBITMQ_NODENAME", name)
            .env("RABBITMQ_MNESIA_BASE", place.join("data"))
            .env("RABBITMQ_LOG_BASE", place.join("log"))
            .env("RABBITMQ_CONFIG_FILE", place.join("rabbitmq"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", place.join("plugins"))
            .env("RABBITMQ_CONF_ENV_FILE", place.join("none"))
            .env("RABBITMQ_PID_FILE", place.join("pid"))
            .env("ERL_CRASH_DUMP", place.join("crash"))
            .env("RABBITMQ_DIST_PORT", self.nodes_port.to_string())
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", self.erlang)
            // So that the script becomes the server.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.mapper_port.to_string());
        self.process = Some(Process::start(&mut command, self.port));
    }
}
