//! The configuration of both clients, and what their errors mean.
//!
//! The invariants: to ask for metadata takes no longer than the time limit; what librdkafka logs goes
//! to the log for debugging only, since what matters of it comes as an error too.

use crate::connect::Address;
use crate::error::{Error, ErrorKind, Result, quote};
use parking_lot::Mutex;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::time::Duration;

/// Where to connect to, and as whom.
#[derive(Clone, PartialEq)]
pub(super) struct ConnectConfig {
    pub address: Address,
    pub servers: String,
    pub user: String,
    pub password: String,
    pub timeout: Duration,
}

impl ConnectConfig {
    /// The configuration of both clients.
    pub fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.servers)
            .set("client.id", "tributary")
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.keepalive.enable", "true");
        if !self.user.is_empty() {
            config
                .set("security.protocol", "SASL_PLAINTEXT")
                .set("sasl.mechanisms", "PLAIN")
                .set("sasl.username", &self.user)
                .set("sasl.password", &self.password);
        }
        config
    }

    /// Whether the cluster answers, and has the topic, where one is named.
    pub fn check<C: ClientContext>(
        &self,
        client: &Client<C>,
        topic: Option<&str>,
    ) -> Result<(), KafkaError> {
        let metadata = client.fetch_metadata(topic, self.timeout)?;
        let topics = metadata.topics();
        match topics.iter().find_map(|topic| topic.error()) {
            Some(error) if topic.is_some() => Err(KafkaError::MetadataFetch(error.into())),
            _ => Ok(()),
        }
    }

    /// The error of the client as an [`Error`].
    pub fn error(&self, error: &KafkaError, topic: Option<&str>) -> Error {
        match error.rdkafka_error_code() {
            Some(code) => self.coded(code, topic),
            None if matches!(
                error,
                KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_)
            ) =>
            {
                self.address.wrong(error)
            }
            None => self.address.unavailable(error),
        }
    }

    /// What the cluster or the client answers, as an error of ours.
    pub fn coded(&self, code: Code, topic: Option<&str>) -> Error {
        match code {
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState => {
                let error = self.address.wrong("the server refuses user and password");
                error.with_hint("write kafka://user:password@host; SASL PLAIN is used")
            }
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed => {
                self.address.wrong(code).with_kind(ErrorKind::NoPermission)
            }
            Code::UnknownTopic | Code::UnknownTopicOrPartition => {
                let topic = topic.unwrap_or_default();
                let server = self.servers.split(',').next().unwrap_or_default();
                let error = self.address.wrong(format!("no topic {}", quote(topic)));
                error.with_hint(format!(
                    "create it: kafka-topics.sh --bootstrap-server {server} --create --topic {topic}"
                ))
            }
            Code::InvalidTopic
            | Code::InvalidGroupId
            | Code::InvalidSessionTimeout
            | Code::InconsistentGroupProtocol
            | Code::UnsupportedVersion
            | Code::InvalidConfig => self.address.wrong(code),
            Code::MessageSizeTooLarge
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::InvalidTimestamp
            | Code::MessageBatchTooLarge
            | Code::PolicyViolation => Error::data(code.to_string()),
            _ => self.address.unavailable(code),
        }
    }
}

/// The errors that a client reported by its callbacks; the first one that is not retryable is kept.
#[derive(Default)]
pub(super) struct LastError(Mutex<Option<Code>>);

impl LastError {
    pub fn note(&self, error: &KafkaError) {
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        let mut last_error = self.0.lock();
        if last_error.is_none() && matches!(code, Code::Authentication | Code::Fatal) {
            *last_error = Some(code);
        }
    }

    pub fn take(&self) -> Option<Code> {
        self.0.lock().take()
    }
}

/// Writes what librdkafka logs.
pub(super) fn log(level: RDKafkaLogLevel, what: &str, message: &str) {
    log::debug!("librdkafka: {level:?} {what} {message}");
}
