"""What the original tool does to its CSV, and nothing else: takes the first row whose last field is
not the mark, prints it, marks it, and rewrites the whole file with the csv module."""
import csv
import sys

path = sys.argv[1]
with open(path) as file:
    rows = list(csv.reader(file))
for row in rows:
    if row and row[-1].strip().lower() != "provisioned":
        print("|".join(field.strip() for field in row))
        row.append("Provisioned")
        break
else:
    sys.exit("no key left")
with open(path, "w") as file:
    csv.writer(file).writerows(rows)
