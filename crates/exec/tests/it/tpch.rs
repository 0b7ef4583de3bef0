//! Queries 1, 3 and 6 of TPC-H over small files written by the tests, compared with sums made row by row.

use std::collections::BTreeMap;

use cofferdam_plan::expr::BinaryOp::{
    And, Equal, Greater, GreaterEqual, Less, LessEqual, Multiply, Subtract,
};
use cofferdam_plan::expr::ExprKind;
use cofferdam_plan::physical::AggregateFunction::{Avg, CountRows, Sum};
use cofferdam_types::Type;

use super::support::{Query, TempFile, decimal};

struct Item {
    order: u32,
    quantity: i128,
    price: i128,
    discount: i128,
    tax: i128,
    flag: char,
    status: char,
    shipped: String,
}

/// Items from a small generator of numbers; the same every time.
fn items(count: u32) -> Vec<Item> {
    let mut state = 42u64;
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    (0..count)
        .map(|i| Item {
            order: i / 4,
            quantity: i128::from(next(50) + 1),
            price: i128::from(next(10_000_000) + 90_000),
            discount: i128::from(next(11)),
            tax: i128::from(next(9)),
            flag: ['A', 'N', 'R'][next(3) as usize],
            status: ['F', 'O'][next(2) as usize],
            shipped: format!("199{}-{:02}-{:02}", next(6) + 2, next(12) + 1, next(28) + 1),
        })
        .collect()
}

fn table(items: &[Item]) -> TempFile {
    let mut text = String::new();
    for item in items {
        let (order, quantity) = (item.order, item.quantity);
        let (price, discount, tax) = (item.price, item.discount, item.tax);
        text += &format!(
            "{order}|{quantity}|{}.{:02}|0.{discount:02}|0.{tax:02}|{}|{}|{}|\n",
            price / 100,
            price % 100,
            item.flag,
            item.status,
            item.shipped
        );
    }
    TempFile::new("tbl", text)
}

/// `amount` with so many digits behind the point.
fn show(amount: i128, scale: usize) -> String {
    let digits = format!("{amount:0width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { digits } else { format!("{whole}.{fraction}") }
}

fn mean(sum: i128, count: i128, scale: u32) -> String {
    let scaled = sum * 10i128.pow(16 - scale);
    show((scaled * 2 + count) / (count * 2), 16)
}

const PRICE: Type = decimal(15, 2);

#[test]
fn forecast_of_revenue_change() {
    let items = items(5000);
    let file = table(&items);
    let mut query = Query::new();
    let p = query.plans;
    let source = p.source(file.path(), None);
    let types: Vec<Type> = source.columns.iter().map(|column| column.ty).collect();
    assert_eq!(types, [Type::BigInt, Type::BigInt, PRICE, PRICE, PRICE, Type::Text, Type::Text, Type::Date]);
    let (quantity, discount) = (p.column(0, Type::BigInt), p.column(2, PRICE));
    let shipped = p.column(3, Type::Date);
    let between =
        ExprKind::Between { arg: discount, low: p.dec(5, 2, 2), high: p.dec(7, 2, 2), negated: false };
    let condition = p.test(
        And,
        p.test(
            And,
            p.test(GreaterEqual, shipped, p.date("1994-01-01")),
            p.test(Less, shipped, p.date("1995-01-01")),
        ),
        p.test(And, p.expr(between, Type::Boolean), p.test(Less, quantity, p.bigint(24))),
    );
    let scan = query.scan(source, &[1, 2, 3, 7], &[condition], &[1, 2]);
    let product = p.binary(Multiply, p.column(0, PRICE), p.column(1, PRICE), decimal(30, 4));
    query.aggregate(scan, &[], &[(Sum, Some(product), false, decimal(38, 4))]);
    let expected: i128 = items
        .iter()
        .filter(|item| item.shipped.starts_with("1994"))
        .filter(|item| (5..=7).contains(&item.discount) && item.quantity < 24)
        .map(|item| item.price * item.discount)
        .sum();
    assert!(expected > 0);
    assert_eq!(query.rows(), [show(expected, 4)]);
}

#[test]
fn pricing_summary() {
    let items = items(5000);
    let file = table(&items);
    let mut query = Query::new();
    let p = query.plans;
    let source = p.source(file.path(), None);
    let shipped = p.column(6, Type::Date);
    let recent = p.test(LessEqual, shipped, p.date("1996-09-02"));
    let scan = query.scan(source, &[1, 2, 3, 4, 5, 6, 7], &[recent], &[0, 1, 2, 3, 4, 5]);
    let col = |i| query.col(scan, i);
    let one = p.dec(100, 3, 2);
    let discounted =
        p.binary(Multiply, col(1), p.binary(Subtract, one, col(2), decimal(16, 2)), decimal(31, 4));
    let taxed = p.binary(
        Multiply,
        discounted,
        p.binary(cofferdam_plan::expr::BinaryOp::Add, one, col(3), decimal(16, 2)),
        decimal(38, 6),
    );
    let aggregates = [
        (Sum, Some(col(0)), false, decimal(38, 0)),
        (Sum, Some(col(1)), false, decimal(38, 2)),
        (Sum, Some(discounted), false, decimal(38, 4)),
        (Sum, Some(taxed), false, decimal(38, 6)),
        (Avg, Some(col(0)), false, decimal(38, 16)),
        (Avg, Some(col(1)), false, decimal(38, 16)),
        (Avg, Some(col(2)), false, decimal(38, 16)),
        (CountRows, None, false, Type::BigInt),
    ];
    let groups = [col(4), col(5)];
    let aggregate = query.aggregate(scan, &groups, &aggregates);
    query.sort(aggregate, &[(0, false, false), (1, false, false)], None);

    let mut sums: BTreeMap<(char, char), [i128; 6]> = BTreeMap::new();
    for item in items.iter().filter(|item| item.shipped.as_str() <= "1996-09-02") {
        let sums = sums.entry((item.flag, item.status)).or_default();
        let discounted = item.price * (100 - item.discount);
        let parts = [item.quantity, item.price, discounted, discounted * (100 + item.tax), item.discount, 1];
        for (sum, part) in sums.iter_mut().zip(parts) {
            *sum += part;
        }
    }
    let expected: Vec<String> = sums
        .iter()
        .map(|((flag, status), [quantity, price, discounted, taxed, discount, count])| {
            [
                flag.to_string(),
                status.to_string(),
                show(*quantity, 0),
                show(*price, 2),
                show(*discounted, 4),
                show(*taxed, 6),
                mean(*quantity, *count, 0),
                mean(*price, *count, 2),
                mean(*discount, *count, 2),
                count.to_string(),
            ]
            .join("|")
        })
        .collect();
    assert_eq!(expected.len(), 6);
    assert_eq!(query.rows(), expected);
}

#[test]
fn shipping_priority() {
    let items = items(3000);
    let file = table(&items);
    let mut orders = String::new();
    for order in 0..750 {
        orders += &format!("{order}|{}|199{}-03-1{}|0|\n", order % 100, order % 4 + 4, order % 10);
    }
    let mut customers = String::new();
    for customer in 0..100 {
        customers += &format!("{customer}|{}|\n", ["BUILDING", "AUTOMOBILE"][customer % 2]);
    }
    let (orders, customers) = (TempFile::new("tbl", orders), TempFile::new("tbl", customers));

    let mut query = Query::new();
    let p = query.plans;
    let (item_source, order_source) = (p.source(file.path(), None), p.source(orders.path(), None));
    let customer_source = p.source(customers.path(), None);
    let building = p.test(Equal, p.column(1, Type::Text), p.text("BUILDING"));
    let customer = query.scan(customer_source, &[0, 1], &[building], &[0]);
    let early = p.test(Less, p.column(2, Type::Date), p.date("1995-03-15"));
    let order = query.scan(order_source, &[0, 1, 2, 3], &[early], &[0, 1, 2, 3]);
    let keys = [(query.col(order, 1), query.col(customer, 0))];
    let joined = query.join(order, customer, &keys, &[], &[0, 2, 3]);
    let late = p.test(Greater, p.column(3, Type::Date), p.date("1995-03-15"));
    let item = query.scan(item_source, &[0, 2, 3, 7], &[late], &[0, 1, 2]);
    let keys = [(query.col(item, 0), query.col(joined, 0))];
    let all = query.join(item, joined, &keys, &[], &[0, 1, 2, 4, 5]);
    let one = p.dec(100, 3, 2);
    let revenue = p.binary(
        Multiply,
        query.col(all, 1),
        p.binary(Subtract, one, query.col(all, 2), decimal(16, 2)),
        decimal(31, 4),
    );
    let groups = [query.col(all, 0), query.col(all, 3), query.col(all, 4)];
    let grouped = query.aggregate(all, &groups, &[(Sum, Some(revenue), false, decimal(38, 4))]);
    let sorted = query.sort(grouped, &[(3, true, true), (1, false, false)], Some(10));
    query.limit(sorted, Some(10), 0);

    let mut revenue: BTreeMap<u32, i128> = BTreeMap::new();
    for item in &items {
        let order = item.order;
        let date = format!("199{}-03-1{}", order % 4 + 4, order % 10);
        if order % 100 % 2 == 0 && date.as_str() < "1995-03-15" && item.shipped.as_str() > "1995-03-15" {
            *revenue.entry(order).or_default() += item.price * (100 - item.discount);
        }
    }
    let mut expected: Vec<_> = revenue
        .iter()
        .map(|(order, revenue)| (-revenue, format!("199{}-03-1{}", order % 4 + 4, order % 10), order))
        .collect();
    expected.sort();
    let expected: Vec<String> = expected
        .iter()
        .take(10)
        .map(|(revenue, date, order)| format!("{order}|{date}|0|{}", show(-revenue, 4)))
        .collect();
    assert_eq!(expected.len(), 10);
    assert_eq!(query.rows(), expected);
}
