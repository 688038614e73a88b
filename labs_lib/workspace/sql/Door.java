// What the SQL door asks of Spark, in one call each: py4j takes a round trip for every field of a plan. Compiled by Janino, which Spark
// carries for its own generated code; so this is Java without lambdas and without generics.

import java.util.Iterator;
import java.util.List;

import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.catalog.CatalogTable;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.trees.Origin;
import org.apache.spark.sql.catalyst.trees.TreeNode;
import org.apache.spark.sql.execution.CommandExecutionMode;
import org.apache.spark.sql.execution.datasources.v2.DataSourceV2Relation;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.BinaryType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.types.TimestampType;
import org.apache.spark.sql.types.TimestampNTZType;
import org.apache.spark.sql.types.VariantType;

public class Door {
    static final int MOST = 200000;
    static final int DEEPEST = 1500;

    /** A plan as JSON. A node is {"c": class, "s": first character, "e": last one, "f": {field: value}}; a table {"c": "CatalogTable", "t": name}. */
    public static String read(Object tree) {
        StringBuilder out = new StringBuilder();
        value(tree, out, new int[1], 0);
        return out.toString();
    }

    static void value(Object it, StringBuilder out, int[] count, int depth) {
        if (++count[0] > MOST || depth > DEEPEST) throw new IllegalArgumentException("The statement is too large.");
        if (it == null) { out.append("null"); return; }
        String type = it.getClass().getName();
        if (it instanceof String || it instanceof Number || it instanceof Boolean || type.equals("org.apache.spark.unsafe.types.UTF8String")) {
            text(it.toString(), out);
        } else if (it instanceof CatalogTable) {
            out.append("{\"c\":\"CatalogTable\",\"t\":");
            text(((CatalogTable) it).identifier().unquotedString(), out);
            out.append('}');
        } else if (it instanceof DataType) {
            out.append("{\"c\":\"DataType\",\"t\":");
            text(((DataType) it).sql(), out);
            out.append('}');
        } else if (it instanceof scala.Option) {
            scala.Option option = (scala.Option) it;
            value(option.isDefined() ? option.get() : null, out, count, depth);
        } else if (it instanceof TreeNode) {
            node((TreeNode) it, out, count, depth);
        } else if (it instanceof java.util.Map) {
            items(scala.jdk.javaapi.CollectionConverters.asScala(((java.util.Map) it).keySet()).iterator(), out, count, depth);
        } else if (it instanceof scala.collection.Iterable) {
            items(((scala.collection.Iterable) it).iterator(), out, count, depth);
        } else if (it instanceof scala.Product && type.startsWith("scala.Tuple")) {
            items(((scala.Product) it).productIterator(), out, count, depth);
        } else if (it instanceof scala.Product && type.startsWith("org.apache.spark.sql.catalyst.") && !type.endsWith(".ExprId")) {
            product((scala.Product) it, type, out, count, depth);
            out.append('}');
        } else {
            out.append("{\"c\":");
            text(type, out);
            out.append('}');
        }
    }

    static void node(TreeNode it, StringBuilder out, int[] count, int depth) {
        product((scala.Product) it, it.getClass().getName(), out, count, depth);
        Origin origin = it.origin();
        if (origin.startIndex().isDefined() && origin.stopIndex().isDefined()) {
            out.append(",\"s\":").append(origin.startIndex().get()).append(",\"e\":").append(origin.stopIndex().get());
        }
        if (it instanceof DataSourceV2Relation) {
            out.append(",\"t\":");
            text(((DataSourceV2Relation) it).table().name(), out);
        }
        out.append('}');
    }

    static void product(scala.Product it, String type, StringBuilder out, int[] count, int depth) {
        out.append("{\"c\":");
        text(type, out);
        out.append(",\"f\":{");
        for (int i = 0; i < it.productArity(); i++) {
            if (i > 0) out.append(',');
            text(i + ":" + it.productElementName(i), out);
            out.append(':');
            value(it.productElement(i), out, count, depth + 1);
        }
        out.append('}');
    }

    static void items(scala.collection.Iterator it, StringBuilder out, int[] count, int depth) {
        out.append('[');
        boolean first = true;
        while (it.hasNext()) {
            if (!first) out.append(',');
            first = false;
            value(it.next(), out, count, depth + 1);
        }
        out.append(']');
    }

    static void text(String it, StringBuilder out) {
        out.append('"');
        for (int i = 0; i < it.length(); i++) {
            char c = it.charAt(i);
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < ' ' || c > '~') { out.append("\\u"); String hex = Integer.toHexString(c); for (int j = hex.length(); j < 4; j++) out.append('0'); out.append(hex); }
            else out.append(c);
        }
        out.append('"');
    }

    /** The unresolved plan of one statement. */
    public static LogicalPlan parse(Object session, String text) throws Exception {
        return spark(session).sessionState().sqlParser().parsePlan(text);
    }

    /** The plan with names and types resolved; nothing is run, commands neither. */
    public static LogicalPlan analyse(Object session, LogicalPlan plan) {
        return spark(session).sessionState().executePlan(plan, skip()).analyzed();
    }

    public static String schema(LogicalPlan plan) {
        return plan.schema().json();
    }

    public static String columns(String text) {
        return StructType.fromDDL(text).json();
    }

    static scala.Enumeration.Value skip() {
        return org.apache.spark.sql.execution.CommandExecutionMode$.MODULE$.SKIP();
    }

    static org.apache.spark.sql.classic.SparkSession spark(Object session) {
        return (org.apache.spark.sql.classic.SparkSession) session;
    }

    /** Run it under a job group, and give schema and at most that many rows as JSON: {"schema": ..., "rows": [[string or null, ...], ...]}. */
    public static String run(Object session, LogicalPlan plan, String group, int limit) {
        org.apache.spark.sql.classic.SparkSession spark = spark(session);
        spark.sparkContext().setJobGroup(group, "door", true);
        try {
            org.apache.spark.sql.Dataset found = org.apache.spark.sql.classic.Dataset$.MODULE$.ofRows(spark, plan);
            StructField[] fields = found.schema().fields();
            String[] names = new String[fields.length];
            String[] cells = new String[fields.length];
            for (int i = 0; i < fields.length; i++) {
                names[i] = "c" + i;
                cells[i] = cell(names[i], fields[i].dataType());
            }
            StringBuilder out = new StringBuilder("{\"schema\":");
            out.append(found.schema().json()).append(",\"rows\":[");
            if (fields.length > 0) rows(found.toDF(names).selectExpr(cells).limit(limit).collectAsList(), out);
            return out.append("]}").toString();
        } finally {
            spark.sparkContext().clearJobGroup();
        }
    }

    static String cell(String name, DataType type) {
        if (type instanceof TimestampType) return "date_format(" + name + ", \"yyyy-MM-dd'T'HH:mm:ss.SSS'Z'\")";
        if (type instanceof TimestampNTZType) return "date_format(" + name + ", \"yyyy-MM-dd'T'HH:mm:ss.SSS\")";
        if (type instanceof BinaryType) return "base64(" + name + ")";
        if (type instanceof StructType || type instanceof ArrayType || type instanceof MapType || type instanceof VariantType) return "to_json(" + name + ")";
        return "cast(" + name + " as string)";
    }

    static void rows(List rows, StringBuilder out) {
        for (Iterator i = rows.iterator(); i.hasNext();) {
            Row row = (Row) i.next();
            out.append('[');
            for (int j = 0; j < row.length(); j++) {
                if (j > 0) out.append(',');
                if (row.isNullAt(j)) out.append("null"); else text(row.getString(j), out);
            }
            out.append(i.hasNext() ? "]," : "]");
        }
    }
}
