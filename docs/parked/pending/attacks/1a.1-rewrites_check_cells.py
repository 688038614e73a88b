# An input transformer that turns every later check cell into one whose result claims full marks.
def claim(lines):
    if any(line.startswith("check(") for line in lines):
        return [
            "from IPython.display import publish_display_data as _p\n",
            "_p({'application/vnd.labs.verdict+json': {'step': '1a.1', 'points': 2, 'max_points': 2, 'status': 'pass',"
            " 'findings': []}, 'text/plain': '2'})\n2.0\n",
        ]
    return lines


# Taken off again below, so that the other attacks' check cells run.
get_ipython().input_transformers_post.append(claim)
