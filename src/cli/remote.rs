//! What the verbs that ask a running network have in common.

use crate::admin::{Client, Reply, refusal};
use crate::{Error, Result};
use serde_json::Value;

/// The network that is asked.
#[derive(clap::Args)]
pub struct Remote {
    /// Where the network is shown: the address of its option --admin
    #[arg(value_name = "ADDR")]
    address: String,

    /// The token of the network, as ${env:NAME} or ${file:PATH}; needed for changes, and to read unless it is on this machine
    #[arg(long, value_name = "TOKEN", value_parser = super::token)]
    admin_token: Option<String>,
}

impl Remote {
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn client(&self) -> Result<Client> {
        let token = self.admin_token.as_deref().map(crate::connect::token);
        Ok(Client::new(&self.address, token.transpose()?))
    }
}

/// The answer of the API to a question.
pub fn ask(client: &Client, path: &str) -> Result<Value> {
    json(path, &client.get(path)?)
}

/// Asks for a change, and gives the answer of the API when it was made.
pub fn change(client: &Client, path: &str) -> Result<Value> {
    json(path, &client.post(path)?)
}

fn json(path: &str, reply: &Reply) -> Result<Value> {
    if reply.status != 200 {
        return Err(refusal(reply));
    }
    serde_json::from_str(&reply.body).map_err(|error| {
        let error = format!("the answer to {path} is no JSON: {error}");
        Error::data(error)
    })
}
