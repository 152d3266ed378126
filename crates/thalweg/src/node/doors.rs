//! The doors of a node: bound first, opened when the node is ready, closed before it stops.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use thalweg_broker::{BrokerHandle, BrokerOptions};
use thalweg_core::env::{BindError, bind_listener};
use thalweg_serve::http::{DoorLine, HttpHandle, HttpServer};
use thalweg_serve::pgwire::{PgHandle, PgLimits, PgOptions, PgServer};

use super::Node;
use super::overview::NodeOverview;
use super::pg_service::PgService;

/// Where the doors are.
#[derive(Clone, Debug)]
pub struct DoorOptions {
    /// Kafka door.
    pub kafka: SocketAddr,
    /// Host and port that Kafka clients are told; empty for the bound address.
    pub advertise: String,
    /// PostgreSQL door.
    pub sql: SocketAddr,
    /// HTTP door.
    pub http: SocketAddr,
    /// Allow addresses that other machines reach.
    pub insecure_public: bool,
    /// Create topics that clients name.
    pub auto_create_topics: bool,
    /// Partitions of such topics.
    pub default_partitions: i32,
    /// Kafka connections at a time.
    pub max_connections: usize,
    /// Kafka connections of one address at a time.
    pub max_connections_per_ip: usize,
}

impl Default for DoorOptions {
    fn default() -> Self {
        Self {
            kafka: SocketAddr::from(([127, 0, 0, 1], 9092)),
            advertise: String::new(),
            sql: SocketAddr::from(([127, 0, 0, 1], 6875)),
            http: SocketAddr::from(([127, 0, 0, 1], 8081)),
            insecure_public: false,
            auto_create_topics: true,
            default_partitions: 1,
            max_connections: 400,
            max_connections_per_ip: usize::MAX,
        }
    }
}

/// Sockets that are bound, with nobody answering yet.
#[derive(Debug)]
pub struct BoundDoors {
    kafka: TcpListener,
    sql: TcpListener,
    http: TcpListener,
}

impl DoorOptions {
    /// Binds every door where the options say.
    ///
    /// # Errors
    /// An address that is taken or public.
    pub fn bind(&self) -> Result<BoundDoors, BindError> {
        let insecure = self.insecure_public;
        Ok(BoundDoors {
            kafka: bind_listener("Kafka", "--kafka", self.kafka, insecure)?,
            sql: bind_listener("PostgreSQL", "--sql", self.sql, insecure)?,
            http: bind_listener("HTTP", "--http", self.http, insecure)?,
        })
    }

    /// Binds every door where the options say, or on a free port where that is taken.
    ///
    /// # Errors
    /// As [`DoorOptions::bind`], but for taken ports.
    pub fn bind_or_any(&self) -> Result<BoundDoors, BindError> {
        let bind = |door, flag, address: SocketAddr| {
            bind_listener(door, flag, address, self.insecure_public).or_else(|error| match error {
                BindError::Io { .. } => {
                    let any = SocketAddr::new(address.ip(), 0);
                    bind_listener(door, flag, any, self.insecure_public)
                }
                public @ BindError::Public { .. } => Err(public),
            })
        };
        Ok(BoundDoors {
            kafka: bind("Kafka", "--kafka", self.kafka)?,
            sql: bind("PostgreSQL", "--sql", self.sql)?,
            http: bind("HTTP", "--http", self.http)?,
        })
    }
}

/// Open doors.
pub struct Doors {
    broker: BrokerHandle,
    sql: PgHandle,
    http: HttpHandle,
}

impl std::fmt::Debug for Doors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doors").field("kafka", &self.kafka()).field("sql", &self.sql()).finish()
    }
}

impl Doors {
    /// Opens the doors: from now on they are answered.
    ///
    /// # Errors
    /// What a door needs to start is not there.
    pub async fn open(
        node: &Arc<Node>,
        bound: BoundDoors,
        options: &DoorOptions,
    ) -> anyhow::Result<Self> {
        let mut kafka = BrokerOptions::new(bound.kafka);
        kafka.advertised = advertised(&options.advertise)?;
        kafka.auto_create_topics = options.auto_create_topics;
        kafka.default_partitions = options.default_partitions;
        kafka.limits.connections = options.max_connections;
        kafka.limits.connections_per_ip = options.max_connections_per_ip;
        kafka.authorizer = node.authorizer();
        kafka.data_dir = node.data_dir().join("log");
        let broker = node.broker().serve(kafka)?;
        let service = Arc::new(PgService::new(node));
        let pg = PgOptions { random: Arc::clone(&node.env().random), limits: PgLimits::default() };
        let sql = PgServer::start(bound.sql, service, node.authorizer(), pg)?;
        let overview = NodeOverview::new(node);
        let http = HttpServer::start(bound.http, overview.state())?;
        let doors = Self { broker, sql, http };
        overview.opened(doors.lines());
        Ok(doors)
    }

    /// Settings of the Kafka door that were altered over it, so that what the doors were told
    /// does not hold: Kafka's name, what they were told, what holds.
    pub fn overridden(&self) -> Vec<(&'static str, String, String)> {
        self.broker.overridden()
    }

    /// Address of the Kafka door.
    pub fn kafka(&self) -> SocketAddr {
        self.broker.local_addr()
    }

    /// Address of the PostgreSQL door.
    pub fn sql(&self) -> SocketAddr {
        self.sql.local_addr()
    }

    /// Address of the HTTP door.
    pub fn http(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// The line that says that everything is ready.
    pub fn ready_line(&self, node: &Node) -> String {
        format!(
            "ready kafka={} sql={} http={} data={}",
            self.kafka(),
            self.sql(),
            self.http(),
            node.data_dir().display()
        )
    }

    fn lines(&self) -> Vec<DoorLine> {
        let (kafka, sql, http) = (self.kafka(), self.sql(), self.http());
        let line = |name: &str, address: SocketAddr, try_it: String| DoorLine {
            name: name.to_owned(),
            address: address.to_string(),
            try_it,
        };
        vec![
            line("Kafka", kafka, format!("kcat -b {kafka} -L")),
            line("PostgreSQL", sql, format!("psql -h {} -p {}", sql.ip(), sql.port())),
            line("HTTP", http, format!("curl http://{http}/metrics")),
        ]
    }

    /// Closes the doors; what is under way is finished or refused.
    pub async fn close(self) {
        self.http.shutdown().await;
        self.sql.shutdown().await;
        self.broker.shutdown().await;
    }
}

fn advertised(text: &str) -> anyhow::Result<Option<(String, u16)>> {
    if text.is_empty() {
        return Ok(None);
    }
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| anyhow::anyhow!("advertised address '{text}' is not HOST:PORT"))?;
    let port = port
        .parse()
        .map_err(|_| anyhow::anyhow!("advertised address '{text}' has no port number"))?;
    Ok(Some((host.to_owned(), port)))
}
