// Asks examples/fastapi_upload.py about a picture. Needs `flutter pub add http`.
//
//     final answer = await checkPicture(Uri.parse('http://10.0.2.2:8000'),
//         await file.readAsBytes(), filename: file.name, age: 'child');
//     if (answer.mayShow) ... else if (answer.action == 'support') ...

import 'dart:convert';

import 'package:http/http.dart' as http;

class Answer {
  const Answer(this.label, this.action, this.why);

  /// "safe", "review" (a person should look first) or "unsafe".
  final String label;

  /// "show", "warn", "block", or "support": somebody may need help, so offer it.
  final String action;

  /// For people, as plain text: it quotes what is written in the picture.
  final String why;

  bool get mayShow => label == 'safe' && action == 'show';
}

const _unknown = Answer('review', 'warn', 'The picture could not be checked.');

/// Never throws, and is "safe" only if the server says so.
///
/// [age] is "child", "preteen" or "teen".
Future<Answer> checkPicture(
  Uri server,
  List<int> bytes, {
  required String filename,
  required String age,
}) async {
  try {
    final request = http.MultipartRequest('POST', server.resolve('/check'))
      ..fields['age'] = age
      ..files.add(
        http.MultipartFile.fromBytes('picture', bytes, filename: filename),
      );
    final response = await request
        .send()
        .then(http.Response.fromStream)
        .timeout(const Duration(seconds: 60));
    if (response.statusCode != 200) return _unknown;
    final answer = jsonDecode(utf8.decode(response.bodyBytes));
    return Answer(answer['label'], answer['action'], answer['why']);
  } catch (_) {
    return _unknown;
  }
}
