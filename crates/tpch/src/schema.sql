CREATE TABLE region (
    r_regionkey integer PRIMARY KEY,
    r_name text NOT NULL,
    r_comment text NOT NULL
);

CREATE TABLE nation (
    n_nationkey integer PRIMARY KEY,
    n_name text NOT NULL,
    n_regionkey integer NOT NULL,
    n_comment text NOT NULL
);

CREATE TABLE supplier (
    s_suppkey bigint PRIMARY KEY,
    s_name text NOT NULL,
    s_address text NOT NULL,
    s_nationkey integer NOT NULL,
    s_phone text NOT NULL,
    s_acctbal decimal(15, 2) NOT NULL,
    s_comment text NOT NULL
);

CREATE TABLE part (
    p_partkey bigint PRIMARY KEY,
    p_name text NOT NULL,
    p_mfgr text NOT NULL,
    p_brand text NOT NULL,
    p_type text NOT NULL,
    p_size integer NOT NULL,
    p_container text NOT NULL,
    p_retailprice decimal(15, 2) NOT NULL,
    p_comment text NOT NULL
);

CREATE TABLE partsupp (
    ps_partkey bigint,
    ps_suppkey bigint,
    ps_availqty integer NOT NULL,
    ps_supplycost decimal(15, 2) NOT NULL,
    ps_comment text NOT NULL,
    PRIMARY KEY (ps_partkey, ps_suppkey)
);

CREATE TABLE customer (
    c_custkey bigint PRIMARY KEY,
    c_name text NOT NULL,
    c_address text NOT NULL,
    c_nationkey integer NOT NULL,
    c_phone text NOT NULL,
    c_acctbal decimal(15, 2) NOT NULL,
    c_mktsegment text NOT NULL,
    c_comment text NOT NULL
);

CREATE TABLE orders (
    o_orderkey bigint PRIMARY KEY,
    o_custkey bigint NOT NULL,
    o_orderstatus text NOT NULL,
    o_totalprice decimal(15, 2) NOT NULL,
    o_orderdate date NOT NULL,
    o_orderpriority text NOT NULL,
    o_clerk text NOT NULL,
    o_shippriority integer NOT NULL,
    o_comment text NOT NULL
);

CREATE TABLE lineitem (
    l_orderkey bigint,
    l_partkey bigint NOT NULL,
    l_suppkey bigint NOT NULL,
    l_linenumber integer,
    l_quantity decimal(15, 2) NOT NULL,
    l_extendedprice decimal(15, 2) NOT NULL,
    l_discount decimal(15, 2) NOT NULL,
    l_tax decimal(15, 2) NOT NULL,
    l_returnflag text NOT NULL,
    l_linestatus text NOT NULL,
    l_shipdate date NOT NULL,
    l_commitdate date NOT NULL,
    l_receiptdate date NOT NULL,
    l_shipinstruct text NOT NULL,
    l_shipmode text NOT NULL,
    l_comment text NOT NULL,
    PRIMARY KEY (l_orderkey, l_linenumber)
);
